// Looks at the headers of a native addon for Linux before it is loaded: the system's loader crashes the process when a file is
// shorter than its headers say, and reports a file for another CPU in words of its own. Called by load.ts.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The field e_machine of the CPUs that Node.js runs on. */
const machines: Readonly<Record<number, string>> = {
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  21: 'ppc64',
  22: 's390x',
};

const headerBytes = 64;

/**
 * What is wrong with a file as a shared object of this machine; undefined if nothing is.
 * @throws what opening and reading the file throws
 */
export function findElfProblem(path: string, arch: string = process.arch): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'it is not a file';
    const header = read(fd, 0, headerBytes);
    if (header.length < headerBytes || header.readUInt32BE(0) !== 0x7f454c46) return 'it is not a shared object';
    // 64 bits, little-endian: all that the rest of this function can read.
    if (header[4] !== 2 || header[5] !== 1) return undefined;
    const machine = machines[header.readUInt16LE(18)] ?? 'another CPU';
    if (machine !== arch) return `it is for ${machine}`;
    const end = endOfSegments(fd, header);
    return end > stat.size ? `it is incomplete: ${stat.size} of at least ${end} bytes` : undefined;
  } finally {
    closeSync(fd);
  }
}

/** The size that the file must have for its program headers, and for the segments that they list. */
function endOfSegments(fd: number, header: Buffer): number {
  const offset = Number(header.readBigUInt64LE(32));
  const [size, count] = [header.readUInt16LE(54), header.readUInt16LE(56)];
  let end = offset + size * count;
  const table = read(fd, offset, size * count);
  for (let at = 0; at + 56 <= table.length; at += Math.max(size, 56)) {
    end = Math.max(end, Number(table.readBigUInt64LE(at + 8)) + Number(table.readBigUInt64LE(at + 32)));
  }
  return end;
}

function read(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(fd, bytes, 0, length, position));
}
