#!/usr/bin/env python3
"""Writes a file's bytes as a C array. usage: bytes-to-header.py FILE NAME HEADER"""
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[3], "w") as header:
    header.write(f"/* {sys.argv[1].rsplit('/', 1)[-1]}, made by the build. */\n#pragma once\n\n#include <stdint.h>\n\n")
    header.write(f"static const uint8_t {sys.argv[2]}[] = {{\n")
    for i in range(0, len(data), 20):
        header.write("\t" + ", ".join(str(byte) for byte in data[i:i + 20]) + ",\n")
    header.write("};\n")
