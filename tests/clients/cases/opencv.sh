# OpenCV's T-API: nine image operations on UMat; digests of the images are compared.
# SPDX-License-Identifier: Apache-2.0

CASE_PACKAGES='python3-opencv'
CASE_NEEDS='/usr/lib/python3/dist-packages/cv2.*.so'
CASE_EXPECT='^still opencl True$'

case_run() {
    OPENCV_OPENCL_DEVICE=:CPU: client /usr/bin/python3 "$PROGRAMS/opencv_umat.py"
}
