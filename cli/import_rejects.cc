#include "cli/import_rejects.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/labels.h"

namespace vs::cli {

using nlohmann::ordered_json;

RejectFile::~RejectFile() {
  if (file_ >= 0) ::close(file_);
}

void RejectFile::read_rows() {
  const auto lines = read_lines(path_);
  if (!lines.ok()) return;  // mostly there is no such file
  for (const std::string& line : *lines) {
    const auto json = ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("file") || !json.contains("row")) continue;
    if (json["file"].is_string() && json["row"].is_number_unsigned())
      there_.emplace(json["file"].get<std::string>(), json["row"].get<uint64_t>());
  }
}

Status RejectFile::open() {
  if (file_ >= 0 || !status_.ok()) return status_;
  if (append_) read_rows();
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append_ ? 0 : O_TRUNC), 0644);
  if (file_ < 0)
    status_ = {Code::kIoError, "cannot write the rejected rows to " + path_ + ": " + std::strerror(errno) +
                                   "; name another file with --rejects FILE"};
  return status_;
}

Status RejectFile::write(const RejectedRow& row) {
  VS_RETURN_IF_ERROR(open());
  if (!there_.empty() && there_.contains({row.file, row.file_row})) return {};
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
