# Language level, warnings, sanitizers: the same for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(ddpm_compiler INTERFACE)
target_include_directories(ddpm_compiler INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(ddpm_compiler INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -fno-math-errno>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${DDPM_WERROR}>>:-Werror>)

if(DDPM_NATIVE)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=native DDPM_HAS_MARCH_NATIVE)
  if(DDPM_HAS_MARCH_NATIVE)
    target_compile_options(ddpm_compiler INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
    # g++ prefers 256-bit vectors on AVX-512 machines; every kernel here is long enough for 512.
    check_cxx_compiler_flag("-march=native -mprefer-vector-width=512" DDPM_HAS_VECTOR_WIDTH)
    if(DDPM_HAS_VECTOR_WIDTH)
      target_compile_options(ddpm_compiler INTERFACE
        $<$<COMPILE_LANGUAGE:CXX>:-mprefer-vector-width=512>)
    endif()
  endif()
endif()
if(DDPM_SANITIZE)
  target_compile_options(ddpm_compiler INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${DDPM_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=undefined>)
  target_link_options(ddpm_compiler INTERFACE -fsanitize=${DDPM_SANITIZE})
  # GCC 12 under a sanitizer takes variables inside <regex> (GCC bug 105616) and inside its own
  # AVX-512 intrinsics (105593) for uninitialised. Builds without sanitizers keep both warnings.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(ddpm_compiler INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:-Wno-uninitialized -Wno-maybe-uninitialized>)
  endif()
endif()
if(DDPM_COVERAGE)
  target_compile_options(ddpm_compiler INTERFACE $<$<COMPILE_LANGUAGE:CXX>:--coverage>)
  target_link_options(ddpm_compiler INTERFACE --coverage)
endif()
