#pragma once

/// UDPPUMP_EXPORT marks what the library offers to programs; everything else is hidden.
#if defined(__GNUC__)
#define UDPPUMP_EXPORT __attribute__((visibility("default")))
#else
#define UDPPUMP_EXPORT
#endif
