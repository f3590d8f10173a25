// Walks through JSON text without changing it: what has to stay verbatim, such as attributes, is handed out as it stands
// there. A parser that makes values of it would turn -0 into 0, and knows no number beyond its own types.
#pragma once

#include <string>
#include <string_view>

namespace vs::cli {

// The first malformed byte makes it fail for good: every function then returns false or an empty text, so that a caller
// may look once, at the end. The text must outlive it.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  // Takes '{' or '['.
  bool open(char bracket);
  // True if one more member or element follows; false at the end of the object or array, whose bracket is then taken.
  bool more(char closing_bracket);
  // A member's name and its colon.
  bool name(std::string& name);
  // A string, decoded.
  bool string(std::string& out);
  // A number as the nearest float32; null, which stands for what JSON has no number for, is infinity.
  bool number(float& out);
  // Any value, as it stands in the text.
  std::string_view value();

  // Where the next value begins.
  size_t position();
  // The text from an earlier position to here, without spaces at its end.
  std::string_view since(size_t position) const { return text_.substr(position, position_ - position); }
  bool failed() const { return failed_; }
  // Nothing failed and nothing but space is left.
  bool at_end();

 private:
  void skip_spaces();
  bool fail();
  bool take(char expected);
  bool skip_string();
  bool skip_number();
  bool skip_scalar();

  std::string_view text_;
  size_t position_ = 0;
  bool fresh_ = false;  // a bracket was just opened: no comma stands before the first member
  bool failed_ = false;
};

// Whether `text` is one well-formed JSON object.
bool is_json_object(std::string_view text);

}  // namespace vs::cli
