#include "clients/client_rows.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

constexpr int tries = 16;
constexpr std::size_t mapped_size = (client_rows::rows * client_rows::row_length + 1) * sizeof(std::uint64_t);

/// What the entry's client owes. What seems to be more than can be is an entry whose time is over.
std::uint64_t debt_of(std::uint64_t entry, std::uint64_t now, std::uint64_t longest) noexcept {
  const std::uint64_t ahead = (entry - now) & client_rows::time_mask;
  return entry == 0 || ahead > longest ? 0 : ahead;
}

}  // namespace

client_rows::client_rows(const char* option)
    : entries_{static_cast<word*>(sys::map_anonymous(mapped_size, MAP_SHARED))} {
  if (entries_ == nullptr) {
    fail(ENOMEM, std::string{"mmap of 260 KiB, for "} + option + ": raise the limit of memory (ulimit -v)");
  }
}

client_rows::~client_rows() { sys::unmap(entries_, mapped_size); }

void client_rows::sweep(std::uint64_t now, const terms& by, bool all) noexcept {
  for (word* each = entries_; each != entries_ + entry_count; ++each) {
    std::uint64_t entry = each->load(std::memory_order_relaxed);
    if (entry == 0 || (!all && debt_of(entry, now, by.longest_debt()) != 0)) continue;
    each->compare_exchange_strong(entry, 0, std::memory_order_relaxed);
  }
}

bool client_rows::admits(std::uint64_t hash, std::uint64_t now, std::size_t count, const terms& by) noexcept {
  const std::uint64_t tag = std::max(hash >> time_bits, std::uint64_t{1}) << time_bits;
  word* const row = entries_ + hash % rows * row_length;
  for (int left = tries; left > 0; --left) {
    word* place = row;
    std::uint64_t before = 0, debt = 0, least = ~std::uint64_t{0};
    for (word* each = row; each != row + row_length; ++each) {
      const std::uint64_t entry = each->load(std::memory_order_relaxed);
      const std::uint64_t owed = debt_of(entry, now, by.longest_debt());
      if (entry != 0 && (entry & ~time_mask) == tag) {
        place = each, before = entry, debt = owed;
        break;
      }
      if (owed < least) place = each, before = entry, least = owed;
    }
    if (debt > by.tolerance) return false;
    const std::uint64_t until = now + debt + std::min<std::uint64_t>(count, most_at_once) * by.cost;
    if (place->compare_exchange_weak(before, tag | (until & time_mask), std::memory_order_relaxed)) return true;
  }
  return true;  // others change the row all the time: to the client's favour
}

}  // namespace udppump::detail
