// The figures as a table and as JSON.
#pragma once

#include <string>
#include <vector>

#include "runner.h"

namespace daedalus::bench {

/// All figures are medians over the rounds; ratios are medians of the ratios within a round, with the least and the greatest.
class Report {
public:
    void addThroughput(Series series) { throughput_.push_back(std::move(series)); }
    void addLatency(Series series) { latency_.push_back(std::move(series)); }
    /// The first is with both ends on one CPU, the second with an end on each of two.
    void addQuerycap(const Measured& measured) { querycaps_.push_back(measured); }

    /// On standard output.
    void print() const;
    [[nodiscard]] bool writeJson(const std::string& path, const std::string& extent) const;

private:
    std::vector<Series> throughput_;
    std::vector<Series> latency_;
    std::vector<Measured> querycaps_;
};

}  // namespace daedalus::bench
