#include "cli/import_resume.h"

#include <algorithm>
#include <cstring>

#include "cli/points.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

constexpr uint64_t kSampled = 16;

// Whether the point in a GET's reply is the row.
bool same(const SourceRow& row, const PointData& point) {
  return point.vector.size() == row.vector.size() &&
         std::memcmp(point.vector.data(), row.vector.data(), row.vector.size() * sizeof(float)) == 0 &&
         (point.attributes.empty() ? "{}" : point.attributes) == (row.attributes.empty() ? "{}" : row.attributes);
}

std::string other_collection(const std::string& collection, const CollectionState& state, const ImportState& journal) {
  if (state.seed != journal.seed) return "'" + collection + "' is not the collection that the import began with";
  if (state.lsn < journal.lsn)
    return "'" + collection + "' has " + std::to_string(state.lsn) + " operations, and " + std::to_string(journal.lsn) +
           " were acknowledged: it was dropped or restored meanwhile";
  return "";
}

// Reads past the rows below the mark, keeping a sample. Returns why they are not those of the journal; empty if they are.
Result<std::string> skip_rows(ImportSource& source, const LowWaterMark& mark, std::vector<SourceRow>& sample) {
  Progress progress("reading past", "rows", mark.rows);
  const uint64_t step = std::max<uint64_t>(1, mark.rows / kSampled);
  SourceRow row;
  for (uint64_t read = 1; read <= mark.rows; ++read) {
    VS_ASSIGN_OR_RETURN(const bool more, source.next(row));
    if (!more) return std::string("the input has fewer rows than were imported from it");
    progress.advance(1);
    if (row.fault.ok() && (read % step == 0 || read == mark.rows)) sample.push_back(row);
  }
  if (mark.rows > 0 && row.digest != mark.digest)
    return std::string("the rows, or the options that shape them, are not those of the interrupted import");
  return std::string();
}

// Whether a sample of the rows that were acknowledged is still in. Others may have changed or deleted points since; so most
// of them are enough, but the last one must be there: what an older copy of the data lacks are the last rows.
Result<bool> sample_is_there(const Settings& settings, const std::string& collection,
                             const std::vector<SourceRow>& sample, bool& lost) {
  if (sample.empty()) return true;
  auto client = Client::connect(settings);
  if (!client.ok()) {
    lost = client.status().code() == Code::kIoError;
    return client.status();
  }
  VS_ASSIGN_OR_RETURN(const std::vector<Presence> there, find_present(*client, collection, sample, lost));
  const auto found = static_cast<size_t>(std::count(there.begin(), there.end(), Presence::kSame));
  return there.back() != Presence::kMissing && 2 * found > there.size();
}

}  // namespace

Result<std::vector<Presence>> find_present(Client& client, const std::string& collection,
                                           std::span<const SourceRow> rows, bool& lost) {
  const auto failed = [&lost](const Status& status) {
    lost = status.code() == Code::kIoError;
    return status;
  };
  std::string requests;
  for (const SourceRow& row : rows)
    requests += "GET " + collection + " " + protocol::quote_word(row.id) + " with=vector\n";
  if (Status status = client.send(requests); !status.ok()) return failed(status);
  std::vector<Presence> present(rows.size(), Presence::kMissing);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto reply = client.receive();
    if (!reply.ok()) return failed(reply.status());
    if (reply->status.code() == Code::kNotFound) continue;
    VS_RETURN_IF_ERROR(reply->status);
    VS_ASSIGN_OR_RETURN(const PointData point, parse_point(reply->json));
    present[i] = same(rows[i], point) ? Presence::kSame : Presence::kOther;
  }
  return present;
}

Result<ResumePoint> find_resume_point(const Settings& settings, const std::string& collection,
                                      const CollectionState& state, const ImportFiles& files, ImportSource& source,
                                      const std::optional<ImportState>& journal, bool& lost) {
  ResumePoint everything;
  everything.compare_below = state.live == 0 ? 0 : UINT64_MAX;
  const std::string all = "every row is compared with what '" + collection + "' has";
  if (state.live == 0) return everything;
  if (!journal) {
    everything.note = "there is no journal of an interrupted import of these files, so " + all;
    return everything;
  }
  std::string why = other_collection(collection, state, *journal);
  bool at_beginning = true;
  if (why.empty()) {
    std::vector<SourceRow> sample;
    at_beginning = journal->mark.rows == 0;
    VS_ASSIGN_OR_RETURN(why, skip_rows(source, journal->mark, sample));
    if (why.empty()) {
      VS_ASSIGN_OR_RETURN(const bool there, sample_is_there(settings, collection, sample, lost));
      if (there) return ResumePoint{journal->mark, journal->limit, ""};
      why = "'" + collection + "' no longer has the rows that were imported";
    }
  }
  if (!at_beginning && !source.can_be_read_again()) {
    everything.note =
        why + "; a pipe cannot be read again. Run it with --resume and its input once more: " + all + " then";
    everything.used_up = true;
    return everything;
  }
  if (!at_beginning) {
    VS_ASSIGN_OR_RETURN(source, ImportSource::open(files));
  }
  everything.note = why + "; so " + all;
  return everything;
}

}  // namespace vs::cli
