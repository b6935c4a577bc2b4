#pragma once

/// Marks what the library offers to programs; everything else is hidden.
#define UDPPUMP_EXPORT __attribute__((visibility("default")))
