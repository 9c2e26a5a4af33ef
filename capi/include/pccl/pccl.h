/** @file pccl.h
 *  For programs that say `#include <pccl.h>`: this folder takes the place of PCCL's include folder. */
#include "../pccl_compat.h"
