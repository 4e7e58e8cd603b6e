// Runs one case: client CASE. Exits with 0 if all is as it should be.
#include "tests/integration/socket/client.h"

int main(int argc, char** argv) {
    using namespace daedalus::test;
    Cases cases;
    addCallCases(cases);
    addPollCases(cases);
    addMemoryCases(cases);
    addPathCases(cases);
    addFindCases(cases);
    addPluggingCases(cases);
    addRawCases(cases);
    addProcessCases(cases);
    addHostileCases(cases);
    addStrangerCases(cases);
    addCostCases(cases);
    addBystanderCases(cases);
    addDescriptorCases(cases);
    addSandboxCases(cases);
    const auto found = argc > 1 ? cases.find(argv[1]) : cases.end();
    if (found == cases.end()) {
        std::fputs("usage: client CASE, where CASE is one of:\n", stderr);
        for (const auto& [name, run] : cases) std::fprintf(stderr, "  %s\n", name.c_str());
        return 2;
    }
    found->second();
    return 0;
}
