#include "device_kernels/image.hpp"

#if defined(HAWSER_HAS_GPU_IMAGE)
asm(".section .rodata\n"
    ".balign 64\n"
    ".globl hawser_gpu_image\n"
    ".hidden hawser_gpu_image\n"
    "hawser_gpu_image:\n"
    ".incbin \"" HAWSER_GPU_IMAGE_FILE "\"\n"
    ".byte 0\n"
    ".text\n");
#endif
