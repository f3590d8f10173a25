"""Reads the folder that VectorSearch-with-HNSW saves and loads, and searches in it. Written from the paper (Malkov and
Yashunin, arXiv 1603.09320, algorithms 2 and 5), to hold vsctl's exports against something that shares no code with vsd."""

import heapq
import json
import pathlib

import numpy


class SeedIndex:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.vectors = numpy.load(folder / "vectors.npy", allow_pickle=False)
        self.levels = numpy.load(folder / "levels.npy", allow_pickle=False)
        self.tombstones = numpy.load(folder / "tombstones.npy", allow_pickle=False)
        self.graph = json.loads((folder / "graph.json").read_text())
        self.meta = json.loads((folder / "meta.json").read_text())
        self._check()

    def _check(self):
        count = len(self.vectors)
        assert self.vectors.dtype == numpy.float32 and self.vectors.shape == (count, self.meta["dim"])
        assert self.levels.dtype == numpy.int32 and self.levels.shape == (count,)
        assert self.tombstones.dtype == numpy.bool_ and self.tombstones.shape == (count,)
        assert set(self.meta) == {"dim", "M", "ef_construction", "ef_search", "mL", "metric", "max_m0", "entry_point",
                                  "max_layer"}
        assert isinstance(self.graph, list) and len(self.graph) == count
        for node, layers in enumerate(self.graph):
            assert list(layers) == [str(layer) for layer in range(self.levels[node] + 1)]
            for layer, neighbours in layers.items():
                assert len(neighbours) <= (self.meta["max_m0"] if layer == "0" else self.meta["M"])
                assert len(set(neighbours)) == len(neighbours) and node not in neighbours
                assert all(0 <= to < count and self.levels[to] >= int(layer) for to in neighbours)
        if count == 0:
            assert self.meta["entry_point"] is None and self.meta["max_layer"] == -1
        else:
            assert self.meta["max_layer"] == self.levels.max() == self.levels[self.meta["entry_point"]]

    def distances(self, query, nodes):
        vectors = self.vectors[nodes].astype(numpy.float64)
        query = numpy.asarray(query, dtype=numpy.float64)
        if self.meta["metric"] == "l2":
            return numpy.sqrt(((vectors - query) ** 2).sum(axis=1))
        return 1 - vectors @ query / (numpy.linalg.norm(vectors, axis=1) * numpy.linalg.norm(query))

    def _search_layer(self, query, entries, ef, layer):
        seen = set(entries)
        found = [(-distance, node) for distance, node in zip(self.distances(query, entries), entries)]
        candidates = [(-distance, node) for distance, node in found]
        heapq.heapify(found)
        heapq.heapify(candidates)
        while candidates:
            distance, node = heapq.heappop(candidates)
            if distance > -found[0][0] and len(found) >= ef:
                break
            fresh = [to for to in self.graph[node][str(layer)] if to not in seen]
            if not fresh:
                continue
            seen.update(fresh)
            for near, to in zip(self.distances(query, fresh), fresh):
                if len(found) < ef or near < -found[0][0]:
                    heapq.heappush(candidates, (near, to))
                    heapq.heappush(found, (-near, to))
                    if len(found) > ef:
                        heapq.heappop(found)
        return sorted((-distance, node) for distance, node in found)

    def search(self, query, k, ef):
        """[(distance, node)…], nearest first."""
        if self.meta["entry_point"] is None:
            return []
        entries = [self.meta["entry_point"]]
        for layer in range(self.meta["max_layer"], 0, -1):
            entries = [self._search_layer(query, entries, 1, layer)[0][1]]
        found = self._search_layer(query, entries, max(k, ef), 0)
        return [(distance, node) for distance, node in found if not self.tombstones[node]][:k]
