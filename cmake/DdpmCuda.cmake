# The CUDA backend. DDPM_CUDA compiles the .cu files with nvcc; DDPM_CUDA_ON_HOST compiles the same
# files as plain C++ and runs them on the host (tests/cuda_on_host), which needs neither a toolkit
# nor a GPU. Either way libraries link ddpm_cuda.
option(DDPM_CUDA "Compile the CUDA sources" OFF)
option(DDPM_CUDA_ON_HOST "Compile the CUDA sources as C++, for tests without a GPU" OFF)
add_library(ddpm_cuda INTERFACE)

# ddpm_cuda_on_host(files): these .cu files of the current directory are C++. Loops are unrolled by
# pragmas that g++ does not know.
function(ddpm_cuda_on_host)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX
    COMPILE_OPTIONS "-Wno-unknown-pragmas")
endfunction()

if(DDPM_CUDA AND DDPM_CUDA_ON_HOST)
  message(FATAL_ERROR "DDPM_CUDA and DDPM_CUDA_ON_HOST exclude each other")
endif()

if(DDPM_CUDA)
  # The toolkit is found off PATH, too.
  find_program(DDPM_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
  mark_as_advanced(DDPM_NVCC)
  if(DDPM_NVCC AND NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${DDPM_NVCC})
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90a-real 90-virtual)
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 does not know nvcc's flag
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  if(CCACHE_PROGRAM)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  endif()
  find_package(CUDAToolkit 12 REQUIRED)
  target_compile_definitions(ddpm_cuda INTERFACE DDPM_WITH_CUDA
    $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)  # fmt 9 does not know that nvcc has constexpr
  # Device code calls constexpr functions of the host, such as std::array's.
  target_compile_options(ddpm_cuda INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -lineinfo -Xcompiler=-Wall,-Wextra>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${DDPM_WERROR}>>:-Werror=all-warnings>)
  target_link_libraries(ddpm_cuda INTERFACE CUDA::cudart_static CUDA::cublas)
elseif(DDPM_CUDA_ON_HOST)
  target_link_libraries(ddpm_cuda INTERFACE ddpm_cuda_runtime_on_host)
endif()

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/cuda_on_host/*.cpp)
list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
add_library(ddpm_cuda_runtime_on_host STATIC EXCLUDE_FROM_ALL ${sources})
target_include_directories(ddpm_cuda_runtime_on_host PUBLIC ${CMAKE_SOURCE_DIR}/tests/cuda_on_host)
target_compile_definitions(ddpm_cuda_runtime_on_host INTERFACE DDPM_WITH_CUDA DDPM_CUDA_ON_HOST)
target_link_libraries(ddpm_cuda_runtime_on_host PRIVATE ddpm_compiler Eigen3::Eigen fmt::fmt)
