# The shipped extractors are part of the program.
file(GLOB extractors CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/extractors/*.h5)
set_source_files_properties(metrics/shipped_extractors.cpp PROPERTIES
  COMPILE_DEFINITIONS "DDPM_EXTRACTORS=\"${CMAKE_CURRENT_SOURCE_DIR}/extractors\""
  OBJECT_DEPENDS "${extractors}")
