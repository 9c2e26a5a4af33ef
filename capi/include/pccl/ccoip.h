/** @file ccoip.h
 *  For programs that say `#include <ccoip.h>`: this folder takes the place of PCCL's include folder. */
#include "../pccl_compat.h"
