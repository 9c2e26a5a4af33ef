# HAWSER_CUDA: AUTO uses CUDA when there are .cu files and a compiler for them, ON insists, OFF never looks.

if(NOT HAWSER_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "HAWSER_CUDA is '${HAWSER_CUDA}'; it must be AUTO, ON or OFF")
endif()

file(GLOB HAWSER_CUDA_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/*.cu)
set(HAWSER_WITH_CUDA OFF)
if(HAWSER_CUDA STREQUAL "ON" OR (HAWSER_CUDA STREQUAL "AUTO" AND HAWSER_CUDA_SOURCES))
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(HAWSER_WITH_CUDA ON)
  elseif(HAWSER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "HAWSER_CUDA=ON, but no CUDA compiler was found. "
                        "Put nvcc on PATH, set CUDACXX, or use HAWSER_CUDA=AUTO or OFF.")
  endif()
endif()
