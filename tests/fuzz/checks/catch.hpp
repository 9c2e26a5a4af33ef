// What the benches of the unit tests want of Catch2, for programs without it.
#pragma once

#include "base/assert.hpp"

#define REQUIRE(...) HAWSER_ASSERT((__VA_ARGS__))
#define CHECK(...) HAWSER_ASSERT((__VA_ARGS__))
#define CHECK_FALSE(...) HAWSER_ASSERT(!(__VA_ARGS__))
