# What a report carries with it is linked into the program: Chart.js, our script and our style.
find_file(DDPM_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js
  DOC "Chart.js 3, minified (Debian: libjs-chart.js)")
if(NOT DDPM_CHART_JS)
  message(FATAL_ERROR "Chart.js was not found: install libjs-chart.js or set DDPM_CHART_JS "
    "to chart.min.js of version 3")
endif()
set(assets ${CMAKE_CURRENT_LIST_DIR}/assets)
set_source_files_properties(report/assets.cpp PROPERTIES
  COMPILE_DEFINITIONS "DDPM_CHART_JS=\"${DDPM_CHART_JS}\";DDPM_ASSETS=\"${assets}\""
  OBJECT_DEPENDS "${DDPM_CHART_JS};${assets}/report.css;${assets}/report.js;${assets}/chart_license.txt")
