# `cmake --install`, and `cpack`: a .deb for the system it is built on, and a .tar.gz that needs no
# package manager. Packages are for other machines too: `cmake --workflow --preset package` builds
# without -march=native, package-cuda with the CUDA backend.
#
# Three components. `program`: ddpm and its data, which is the .deb. `libraries`: the shared
# libraries that ddpm needs beyond those of the C and C++ run time, which the .tar.gz adds. `check`:
# tests and benchmarks with the same libraries, for a machine that has a GPU but nothing to build
# with (scripts/gpu_check.sh):
#
#   cmake --install build/cuda --component check --prefix check --strip
include(GNUInstallDirs)
set(libraries_folder ${CMAKE_INSTALL_LIBDIR}/ddpm-lab)

# Where a program looks for its libraries: beside itself first. Only the old kind of RPATH also holds
# for what those libraries need.
function(ddpm_install_program name component dependencies)
  file(RELATIVE_PATH up /${CMAKE_INSTALL_BINDIR} /${libraries_folder})
  set(rpath $ORIGIN/${up})
  if(DDPM_CUDA)
    list(APPEND rpath ${CUDAToolkit_LIBRARY_DIR})
  endif()
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "${rpath}")
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags)
  install(TARGETS ${name} RUNTIME_DEPENDENCY_SET ${dependencies}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
endfunction()

# Left out: glibc, libstdc++ and libgcc, which every node has and which must match one another, and
# NVIDIA's libraries, 700 MB that come with the driver and the toolkit.
function(ddpm_install_libraries dependencies component)
  install(RUNTIME_DEPENDENCY_SET ${dependencies}
    PRE_EXCLUDE_REGEXES "^lib(cuda|cudart|cublas|cublasLt|nvrtc|nvJitLink)\\." "^ld-linux" "^linux-vdso"
      "^lib(c|m|dl|pthread|rt|resolv|util|gcc_s|stdc\\+\\+)\\.so"
    LIBRARY DESTINATION ${libraries_folder} COMPONENT ${component})
endfunction()

ddpm_install_program(ddpm program program_libraries)
install(DIRECTORY experiments/studies/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ddpm/studies
  COMPONENT program FILES_MATCHING PATTERN "*.json")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ddpm-lab RENAME copyright
  COMPONENT program)
ddpm_install_libraries(program_libraries libraries)

set(check_programs ddpm framework_tests cuda_tests peak_bench conv_bench op_bench step_bench
  sample_bench launch_bench)
foreach(name ${check_programs})
  if(TARGET ${name})
    ddpm_install_program(${name} check check_libraries)
  endif()
endforeach()
ddpm_install_libraries(check_libraries check)

set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME ddpm-lab)
set(CPACK_PACKAGE_CONTACT "ddpm-lab authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "laboratory for denoising diffusion models")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # Depends follows from what the program links
if(DDPM_CUDA)
  set(CPACK_GENERATOR TGZ)  # no package owns NVIDIA's libraries
  set(CPACK_PACKAGE_FILE_NAME ddpm-lab-${PROJECT_VERSION}-Linux-cuda)
endif()
# Read once for each generator.
file(WRITE ${CMAKE_BINARY_DIR}/CPackComponents.cmake
  "set(CPACK_INSTALL_CMAKE_PROJECTS \"${CMAKE_BINARY_DIR};ddpm;program;/\")
if(CPACK_GENERATOR STREQUAL TGZ)
  list(APPEND CPACK_INSTALL_CMAKE_PROJECTS \"${CMAKE_BINARY_DIR};ddpm;libraries;/\")
endif()
")
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_BINARY_DIR}/CPackComponents.cmake)
include(CPack)
