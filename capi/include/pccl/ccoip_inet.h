/** @file ccoip_inet.h
 *  For programs that say `#include <ccoip_inet.h>`: this folder takes the place of PCCL's include folder. */
#include "../pccl_compat.h"
