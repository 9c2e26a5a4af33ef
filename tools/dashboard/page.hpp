#pragma once

#include <string_view>

/// dashboard/page.html, as it is in the program.
std::string_view dashboard_page();
