// SPDX-License-Identifier: MIT
/*
 * Numbers by which guests know our functions.
 *
 * The vendor is Xen's, under which it shows virtual hardware to its guests; implementations are asked to take devices from
 * 0xc000 to 0xfffe, and ranges from 0xc000 on are given away by xen-pci-device-reservations(7). Ours are not registered: they
 * lie at the far end, and are experimental as the lending that they stand for. No driver of Linux knows them. Those of QEMU
 * (0x1af4, 0x1b36) would not do: Linux tries its virtio driver on every function of 0x1af4.
 *
 * Virtio functions have the numbers of the virtio specification.
 */
#pragma once

#define PCI_VENDOR_XEN        0x5853u
#define PCI_DEVICE_BRIDGE     0xff00u
#define PCI_DEVICE_LEND       0xff01u
#define PCI_VENDOR_VIRTIO     0x1af4u

#define PCI_CLASS_BRIDGE      0x060000u
#define PCI_CLASS_MEMORY_RAM  0x050000u /* memory controller, RAM */
#define PCI_CLASS_MEMORY      0x058000u /* another memory controller */
