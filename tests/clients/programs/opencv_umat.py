#!/usr/bin/python3
"""OpenCV client: image processing through the T-API (UMat), printed as digests of the images.

SPDX-License-Identifier: Apache-2.0

OpenCV falls back to the CPU when an OpenCL call fails, so the program also prints whether OpenCL was in use and which
device it took. --repeat N does the work N times, for timing.
"""

import argparse
import hashlib
import sys

import cv2
import numpy as np


def digest(image):
    host = image.get() if isinstance(image, cv2.UMat) else image
    return hashlib.sha256(np.ascontiguousarray(host).tobytes()).hexdigest()[:16]


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    channels = [(x * 7 + y * 3) % 256, (x * y // 16) % 256, ((x - y) ** 2 // 64) % 256]
    return np.dstack(channels).astype(np.uint8)


def process(image):
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    yield "grey", grey
    blurred = cv2.GaussianBlur(grey, (5, 5), 1.5)
    yield "gaussian", blurred
    yield "canny", cv2.Canny(blurred, 50, 150)
    yield "resize", cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA)
    yield "threshold", cv2.threshold(blurred, 100, 255, cv2.THRESH_BINARY)[1]
    yield "morphology", cv2.dilate(cv2.erode(grey, None), None)
    yield "warp", cv2.warpAffine(grey, np.float32([[0.9, 0.1, 5], [-0.1, 0.9, 7]]), (400, 300))
    yield "median", cv2.medianBlur(grey, 5)
    yield "float", cv2.multiply(cv2.UMat(np.float32(grey.get())), 1.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--size", default="640x360")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))

    cv2.ocl.setUseOpenCL(True)
    device = cv2.ocl.Device_getDefault()
    print("opencl", cv2.ocl.haveOpenCL(), cv2.ocl.useOpenCL(), device.name(), device.version())
    image = cv2.UMat(picture(width, height))
    for _ in range(options.repeat):
        digests = [(name, digest(result)) for name, result in process(image)]
    for name, value in digests:
        print(name, value)
    print("still opencl", cv2.ocl.useOpenCL())
    return 0


if __name__ == "__main__":
    sys.exit(main())
