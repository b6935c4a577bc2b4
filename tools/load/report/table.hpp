#pragma once

#include <string>
#include <vector>

namespace udppump::load {

/// Columns as wide as what is in them: the first to the left, the others to the right. The first row is the head.
class table {
 public:
  using row = std::vector<std::string>;
  explicit table(row head) { rows_.push_back(std::move(head)); }
  /// As many cells as the head has.
  void add(row cells) { rows_.push_back(std::move(cells)); }
  std::string to_string() const;

 private:
  std::vector<row> rows_;
};

}  // namespace udppump::load
