# OpenCV: nine operations on a 1280x720 image, 20 times, every result downloaded.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='python3-opencv'
CASE_NEEDS='/usr/lib/python3/dist-packages/cv2.*.so'

case_run() {
    OPENCV_OPENCL_DEVICE=:CPU: client /usr/bin/python3 "$PROGRAMS/opencv_umat.py" --size 1280x720 --repeat 20
}
