/* Opens the node and asks what it is. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void) {
    const char* const node = getenv("DAEDALUS_NODE");
    const int fd = open(node != NULL ? node : "", O_RDWR);
    struct v4l2_capability capability;
    if (fd < 0 || ioctl(fd, VIDIOC_QUERYCAP, &capability) != 0) return 1;
    return close(fd);
}
