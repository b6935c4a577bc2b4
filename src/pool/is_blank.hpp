#pragma once

namespace udppump::detail {

/// White space and control characters, which no name has.
inline bool is_blank(char one) noexcept { return static_cast<unsigned char>(one) <= ' '; }

}  // namespace udppump::detail
