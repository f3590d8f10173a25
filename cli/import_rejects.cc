#include "cli/import_rejects.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vs::cli {

RejectFile::~RejectFile() {
  if (file_ >= 0) ::close(file_);
}

Status RejectFile::open() {
  if (file_ >= 0 || !status_.ok()) return status_;
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append_ ? 0 : O_TRUNC), 0644);
  if (file_ < 0)
    status_ = {Code::kIoError, "cannot write the rejected rows to " + path_ + ": " + std::strerror(errno) +
                                   "; name another file with --rejects FILE"};
  return status_;
}

Status RejectFile::write(const RejectedRow& row) {
  VS_RETURN_IF_ERROR(open());
  using nlohmann::ordered_json;
  ordered_json json = {{"file", row.file}, {"row", row.file_row}};
  if (row.line > 0) json["line"] = row.line;
  json["id"] = row.id;
  json["code"] = code_name(row.status.code());
  json["reason"] = row.status.message();
  const std::string line = json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    status_ = {Code::kIoError, "cannot write the rejected rows to " + path_ + ": " + std::strerror(errno)};
  return status_;
}

}  // namespace vs::cli
