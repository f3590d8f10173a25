// One collection: points by id in RocksDB, their graph in mapped files, and the only place where the two meet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/api.h"

namespace vs::storage {

// All functions may be called from any thread. A dropped collection answers kNotFound.
class Collection {
 public:
  virtual ~Collection() = default;

  virtual const std::string& name() const = 0;
  // A rebuild may change it, save for dim and metric; Database::alter() changes ef_search.
  virtual CollectionConfig config() const = 0;

  // `done` is called exactly once, from a thread of the database or from this call, when the operation is durable and
  // visible to a search, or refused. It must be quick and must not call back into the database.
  virtual void add(AddRequest request, AddDone done) = 0;
  // One atomic operation for all ids; an id named twice counts once.
  virtual void remove(std::vector<std::string> ids, DeleteDone done) = 0;

  // Errors: kNotFound.
  virtual Result<Point> get(const std::string& id, With with) const = 0;
  // Errors: kNotFound (id), kDimensionMismatch, kNotFinite, kZeroVector, kBadArgument (k, ef or radius out of range).
  virtual Result<SearchReply> search(const SearchRequest& request) const = 0;
  // A point that is live throughout a scan is seen at least once, one that is replaced meanwhile may be seen twice.
  // A page ends early when its vectors and attributes reach about 4 MiB.
  virtual Result<ScanReply> scan(const ScanRequest& request) const = 0;
  virtual CollectionStats stats() const = 0;
};

}  // namespace vs::storage
