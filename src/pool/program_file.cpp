#include "pool/program_file.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/worker_program.hpp"

namespace udppump::detail {

namespace {

using file_header = ElfW(Ehdr);
using segment = ElfW(Phdr);

/// A file by its bytes, of which there may be fewer than it says: what is not there reads as nothing.
class program_bytes {
 public:
  explicit program_bytes(const std::string& path) : file_{sys::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY)} {}

  bool is_open() const noexcept { return bool{file_}; }
  template <class Value>
  std::optional<Value> at(std::size_t offset) const {
    Value value{};
    if (sys::read_at(file_.fd(), &value, sizeof value, offset) != ssize_t{sizeof value}) return {};
    return value;
  }
  /// At most so many; fewer at the end of the file.
  std::string text(std::size_t offset, std::size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t got = sys::read_at(file_.fd(), bytes.data(), size, offset);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }

 private:
  descriptor file_;
};

constexpr std::size_t most_bytes = 64 * 1024;  // of a segment that is looked at

std::vector<segment> segments_of(const program_bytes& file, const file_header& header) {
  std::vector<segment> segments;
  if (header.e_phentsize != sizeof(segment)) return segments;
  for (std::size_t at = 0; at < header.e_phnum; ++at) {
    const auto one = file.at<segment>(header.e_phoff + at * sizeof(segment));
    if (!one) break;
    segments.push_back(*one);
  }
  return segments;
}

std::string content(const program_bytes& file, const segment& of) {
  return file.text(of.p_offset, std::min<std::size_t>(of.p_filesz, most_bytes));
}

/// Up to the first zero byte.
std::string name_in(const std::string& bytes) { return bytes.substr(0, bytes.find('\0')); }

/// Go's linker leaves a note in its name, whether or not it had the C library linked in.
bool has_note_of_go(std::string_view notes) {
  constexpr std::string_view name{"Go\0\0", 4};
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note{};
    std::memcpy(&note, notes.data(), sizeof note);
    notes.remove_prefix(sizeof note);
    if (note.n_namesz == name.size() && notes.starts_with(name)) return true;
    const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
    notes.remove_prefix(std::min(notes.size(), padded(note.n_namesz) + padded(note.n_descsz)));
  }
  return false;
}

/// The names of the libraries that the program is linked with.
std::vector<std::string> needed_by(const program_bytes& file, const std::vector<segment>& segments) {
  using entry = ElfW(Dyn);
  std::vector<std::size_t> names;
  std::size_t names_at = 0;
  for (const segment& one : segments) {
    if (one.p_type != PT_DYNAMIC) continue;
    const std::string bytes = content(file, one);
    for (std::size_t at = 0; at + sizeof(entry) <= bytes.size(); at += sizeof(entry)) {
      entry it{};
      std::memcpy(&it, bytes.data() + at, sizeof it);
      if (it.d_tag == DT_NULL) break;
      if (it.d_tag == DT_STRTAB) names_at = it.d_un.d_ptr;
      if (it.d_tag == DT_NEEDED) names.push_back(it.d_un.d_val);
    }
  }
  std::vector<std::string> needed;
  for (const segment& one : segments) {  // the table's address is one in memory
    if (one.p_type != PT_LOAD || names_at < one.p_vaddr || names_at - one.p_vaddr >= one.p_filesz) continue;
    const std::size_t table = one.p_offset + (names_at - one.p_vaddr);
    constexpr std::size_t longest = 256;
    for (const std::size_t name : names) needed.push_back(name_in(file.text(table + name, longest)));
    break;
  }
  return needed;
}

/// The program that a script's first line names, as the kernel takes it; of env(1), what that starts.
std::string interpreter_of(const std::string& first_bytes) {
  std::istringstream line{first_bytes.substr(2, first_bytes.find('\n') - 2)};
  std::string path;
  line >> path;
  if (path.substr(path.rfind('/') + 1) != "env") return path;
  std::string word;
  while (line >> word && (word.starts_with('-') || word.find('=') != std::string::npos)) continue;
  try {
    return worker_program{{word}}.path();
  } catch (const std::system_error&) {
    return path;
  }
}

/// The dynamic linker takes no preloaded library by its path then (ld.so(8), "secure-execution mode").
std::string why_it_gains_privileges(const std::string& path) {
  struct stat about {};
  if (sys::status_of(path.c_str(), about) < 0 || sys::no_new_privileges()) return {};
  constexpr char cure[] =
      ", and nothing is preloaded into a program that gains privileges; start it without, or give "
      "--no-new-privs";
  if ((about.st_mode & S_ISUID) != 0 && about.st_uid != sys::effective_user())
    return std::string{"it is set-user-ID"} + cure;
  if ((about.st_mode & S_ISGID) != 0 && (about.st_mode & S_IXGRP) != 0 && about.st_gid != sys::effective_group()) {
    return std::string{"it is set-group-ID"} + cure;
  }
  char capabilities[64];
  if (sys::effective_user() != 0 &&
      sys::attribute(path.c_str(), "security.capability", capabilities, sizeof capabilities) > 0) {
    return std::string{"it has file capabilities (getcap(8))"} + cure;
  }
  return {};
}

std::string why_its_format_forbids(const program_bytes& file, const file_header& header, const std::string& library) {
  const auto own = program_bytes{library}.at<file_header>(0);
  if (own && (header.e_ident[EI_CLASS] != own->e_ident[EI_CLASS] || header.e_ident[EI_DATA] != own->e_ident[EI_DATA] ||
              header.e_machine != own->e_machine)) {
    return "it is for another kind of processor than udppump is; take a udppump that is for the same";
  }
  const auto segments = segments_of(file, header);
  std::string interpreter;
  for (const segment& one : segments) {
    if (one.p_type == PT_INTERP) interpreter = name_in(content(file, one));
    if (one.p_type == PT_NOTE && has_note_of_go(content(file, one))) {
      return "it is a Go program, whose runtime calls the kernel itself; let a goroutine block in recvfrom "
             "(docs/workers.md)";
    }
  }
  if (interpreter.empty()) return "it is linked statically; link it dynamically, or let it block in recvfrom";
  if (interpreter.substr(interpreter.rfind('/') + 1).starts_with("ld-musl")) {
    return "its C library is musl, and the library is for glibc; let it block in recvfrom";
  }
  for (const std::string& name : needed_by(file, segments)) {
    if (name.starts_with("libasan.so") || name.starts_with("libclang_rt.asan")) {
      return "it is linked with AddressSanitizer (" + name + "), which must come first; link it with -static-libasan";
    }
  }
  return {};
}

std::string why_not(const std::string& program, const std::string& library, int scripts_left) {
  const program_bytes file{program};
  if (!file.is_open()) return why_it_gains_privileges(program);
  constexpr std::size_t first_line = 256;  // what the kernel looks at (binfmt_script, fs/binfmt_script.c)
  const std::string begin = file.text(0, first_line);
  if (begin.starts_with("#!") && scripts_left > 0) return why_not(interpreter_of(begin), library, scripts_left - 1);
  if (!begin.starts_with(ELFMAG)) return {};
  if (std::string why = why_it_gains_privileges(program); !why.empty()) return why;
  const auto header = file.at<file_header>(0);
  return header ? why_its_format_forbids(file, *header, library) : std::string{};
}

}  // namespace

std::string why_not_preloaded(const std::string& program, const std::string& library) {
  constexpr int most_scripts = 4;
  return why_not(program, library, most_scripts);
}

}  // namespace udppump::detail
