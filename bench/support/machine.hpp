#pragma once

#include <string_view>

namespace bench {

/// Prints what is measured and how, and what it is measured on: processors, kernel, buffer limit, load, build.
void print_heading(std::string_view title, std::string_view method);

}  // namespace bench
