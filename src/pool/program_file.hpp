#pragma once

#include <string>

namespace udppump::detail {

/// Why a library that is preloaded (LD_PRELOAD, ld.so(8)) is not heard in a program, as its file tells, or that of the
/// interpreter that a script names: a part of a sentence, with what helps. Empty: nothing speaks against it, or the
/// file may not be read. What a program starts, and what it was linked with, is not looked at, but for
/// AddressSanitizer.
std::string why_not_preloaded(const std::string& program, const std::string& library);

}  // namespace udppump::detail
