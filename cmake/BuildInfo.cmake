# Writes ddpm_build_info.h; run at every build, changes the file only when the answer changed.
execute_process(COMMAND git describe --always --dirty --tags WORKING_DIRECTORY ${SOURCE_DIR}
  OUTPUT_VARIABLE describe OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git rev-parse HEAD WORKING_DIRECTORY ${SOURCE_DIR}
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT describe)
  set(describe unknown)
  set(commit unknown)
endif()
set(text "#define DDPM_VERSION \"${VERSION}\"
#define DDPM_GIT_DESCRIBE \"${describe}\"
#define DDPM_GIT_COMMIT \"${commit}\"
#define DDPM_COMPILER \"${COMPILER}\"
#define DDPM_BUILD_TYPE \"${BUILD_TYPE}\"
")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
