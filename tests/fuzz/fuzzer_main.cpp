// libFuzzer's way into a fuzz target.
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" __attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    daedalus::fuzz::Input input({data, size});
    daedalus::fuzz::runTarget(input);
    return 0;
}
