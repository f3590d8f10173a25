// Status and Result<T>: how every fallible function here reports. No exception of our own is ever thrown; exceptions of
// libraries are caught in the file that calls them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vs {

// The error codes of the line protocol, used inside as well, so that no layer has to translate.
enum class Code : uint8_t {
  kOk,
  kBadRequest,
  kUnknownCommand,
  kBadArgument,
  kNotFound,
  kExists,
  kDimensionMismatch,
  kNotFinite,
  kZeroVector,
  kTooLarge,
  kLimit,
  kNoSpace,
  kUnauthorized,
  kBusy,
  kReadOnly,
  kShuttingDown,
  kIoError,
  kCorrupt,
  kInternal,
};

// "not_found" for kNotFound, as it stands on the wire.
std::string_view code_name(Code code);
// The reverse; nullopt for a name that is none of ours.
std::optional<Code> code_from_name(std::string_view name);

class [[nodiscard]] Status {
 public:
  Status() = default;
  // REQUIRES: `message` says what was expected, what came and what to do.
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "not_found: no collection 'x'"
  std::string to_string() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor): `return value;`
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor): `return status;`

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // REQUIRES: ok()
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace vs

// For errors of the programmer only; bytes from files or the network are validated, never asserted.
#define VS_CHECK(expression)                                                \
  do {                                                                      \
    if (!(expression)) ::vs::check_failed(#expression, __FILE__, __LINE__); \
  } while (false)

#define VS_CONCAT_INNER(a, b) a##b
#define VS_CONCAT(a, b) VS_CONCAT_INNER(a, b)

#define VS_RETURN_IF_ERROR(expression)                                            \
  do {                                                                            \
    if (::vs::Status vs_status = (expression); !vs_status.ok()) return vs_status; \
  } while (false)

// VS_ASSIGN_OR_RETURN(auto file, open(path));
#define VS_ASSIGN_OR_RETURN(declaration, expression)                                          \
  auto VS_CONCAT(vs_result_, __LINE__) = (expression);                                        \
  if (!VS_CONCAT(vs_result_, __LINE__).ok()) return VS_CONCAT(vs_result_, __LINE__).status(); \
  declaration = *std::move(VS_CONCAT(vs_result_, __LINE__))
