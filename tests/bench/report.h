// The figures as a table and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runner.h"

namespace daedalus::bench {

/// All figures are medians over the rounds; ratios are medians of the ratios within a round.
class Report {
public:
    void addThroughput(Series series) { throughput_.push_back(std::move(series)); }
    void addLatency(Series series) { latency_.push_back(std::move(series)); }
    void setQuerycap(const Measured& measured) { querycap_ = measured; }

    /// On standard output.
    void print() const;
    [[nodiscard]] bool writeJson(const std::string& path, const std::string& extent) const;

private:
    std::vector<Series> throughput_;
    std::vector<Series> latency_;
    std::optional<Measured> querycap_;
};

}  // namespace daedalus::bench
