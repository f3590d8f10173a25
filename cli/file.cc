#include "cli/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace vs::cli {
namespace {

constexpr size_t kBufferBytes = 1u << 20;

Status failed(const std::string& path) {
  return {Code::kIoError, "cannot write " + path + ": " + std::strerror(errno)};
}

}  // namespace

struct OutputFile::State {
  std::string path;
  std::string temporary;
  int file = -1;
  std::string buffer;

  Status flush() {
    std::string_view left = buffer;
    while (!left.empty()) {
      const ssize_t written = ::write(file, left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failed(path);
      left.remove_prefix(static_cast<size_t>(written));
    }
    buffer.clear();
    return {};
  }
};

OutputFile::OutputFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
OutputFile::OutputFile(OutputFile&&) noexcept = default;
OutputFile& OutputFile::operator=(OutputFile&&) noexcept = default;

OutputFile::~OutputFile() {
  if (!state_ || state_->file < 0) return;
  ::close(state_->file);
  ::unlink(state_->temporary.c_str());
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->temporary = path + ".tmp";
  state->file = ::open(state->temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (state->file < 0) return failed(path);
  return OutputFile(std::move(state));
}

Status OutputFile::write(const void* data, size_t bytes) {
  state_->buffer.append(static_cast<const char*>(data), bytes);
  return state_->buffer.size() < kBufferBytes ? Status() : state_->flush();
}

Status OutputFile::write_at(uint64_t offset, std::string_view text) {
  VS_RETURN_IF_ERROR(state_->flush());
  while (!text.empty()) {
    const ssize_t written = ::pwrite(state_->file, text.data(), text.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(state_->path);
    text.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

Status OutputFile::commit() {
  VS_RETURN_IF_ERROR(state_->flush());
  if (::fsync(state_->file) != 0) return failed(state_->path);
  const int file = std::exchange(state_->file, -1);
  if (::close(file) != 0 || std::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) {
    Status status = failed(state_->path);
    ::unlink(state_->temporary.c_str());
    return status;
  }
  return {};
}

Status sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return failed(path);
  const bool synced = ::fsync(directory) == 0;
  Status status = synced ? Status() : failed(path);
  ::close(directory);
  return status;
}

}  // namespace vs::cli
