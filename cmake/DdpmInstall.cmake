# `cmake --install`, and `cpack`: a .deb for the system it is built on, and a .tar.gz. Packages are
# for other machines too: `cmake --workflow --preset package` builds without -march=native.
include(GNUInstallDirs)
install(TARGETS ddpm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY experiments/studies/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ddpm/studies
  FILES_MATCHING PATTERN "*.json")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ddpm-lab RENAME copyright)

set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME ddpm-lab)
set(CPACK_PACKAGE_CONTACT "ddpm-lab authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "laboratory for denoising diffusion models")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # Depends follows from what the program links
include(CPack)
