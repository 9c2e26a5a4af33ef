# HAWSER_CUDA: AUTO builds the kernels for GPUs where there is a compiler for them, ON insists, OFF never looks.
# The compiler is all that is needed: the driver is found at run time, and its runtime library is not used.

if(NOT HAWSER_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "HAWSER_CUDA is '${HAWSER_CUDA}'; it must be AUTO, ON or OFF")
endif()

set(HAWSER_GPU_IMAGE "" CACHE FILEPATH "Kernels for GPUs that were compiled elsewhere, from the same sources")
set(HAWSER_WITH_CUDA OFF)
if(HAWSER_GPU_IMAGE)
  if(NOT EXISTS ${HAWSER_GPU_IMAGE})
    message(FATAL_ERROR "HAWSER_GPU_IMAGE is '${HAWSER_GPU_IMAGE}', and there is no such file. "
                        "Leave it empty to compile the kernels.")
  endif()
  set(HAWSER_WITH_CUDA ON)
elseif(NOT HAWSER_CUDA STREQUAL "OFF")
  find_program(HAWSER_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(HAWSER_NVCC)
  if(HAWSER_NVCC)
    execute_process(COMMAND ${HAWSER_NVCC} --version OUTPUT_VARIABLE version ERROR_QUIET)
    if(version MATCHES "release ([0-9]+)\\.([0-9]+)")
      set(HAWSER_NVCC_VERSION ${CMAKE_MATCH_1}.${CMAKE_MATCH_2})
    endif()
  endif()
  # The first that compiles for Blackwell.
  if(HAWSER_NVCC_VERSION VERSION_GREATER_EQUAL 12.8)
    set(HAWSER_WITH_CUDA ON)
  elseif(HAWSER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "HAWSER_CUDA=ON, but no CUDA compiler from 12.8 on was found. "
                        "Put nvcc on PATH, set CUDA_PATH, or use HAWSER_CUDA=AUTO or OFF.")
  endif()
endif()

# hawser_gpu_image(OUTPUT CODE_DIR SOURCE): compiles a .cu file to a fatbin, or takes HAWSER_GPU_IMAGE. Leaves each
# architecture's code in CODE_DIR as SOURCE.sm_*.cubin. The same bits as on the host: nothing is fused, denormals are kept,
# divisions and roots are rounded once.
function(hawser_gpu_image output code_dir source)
  if(HAWSER_GPU_IMAGE)
    configure_file(${HAWSER_GPU_IMAGE} ${output} COPYONLY)
    return()
  endif()
  # The source is compiled once, for the oldest architecture, and then translated for each. The last entry is for GPUs
  # that are newer than all of these.
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${code_dir}
    COMMAND
      ${HAWSER_NVCC} -fatbin -std=c++20 -O3 --threads 0 -gencode arch=compute_80,code=[sm_80,sm_90,sm_100,compute_80]
      -fmad=false -ftz=false -prec-div=true -prec-sqrt=true --expt-relaxed-constexpr -Werror all-warnings
      --compress-mode=size --keep --keep-dir ${code_dir} -ccbin ${CMAKE_CXX_COMPILER} -I ${PROJECT_SOURCE_DIR}/src -MD
      -MF ${output}.d -o ${output} ${source}
    DEPENDS ${source}
    DEPFILE ${output}.d
    COMMENT "Compiling the kernels for GPUs"
    VERBATIM)
endfunction()
