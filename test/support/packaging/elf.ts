// Reads from a 64-bit little-endian ELF file what its loader needs: libraries, symbols and their versions. For tests of the
// addon; no check of files that may be damaged.
import { readFileSync } from 'node:fs';

export interface ElfSymbol {
  readonly name: string;
  /** Of an undefined symbol, as GLIBC_2.17; undefined if it may come from any library in any version. */
  readonly version: string | undefined;
}

export interface ElfFile {
  /** The e_machine field: 62 is x86-64, 183 arm64. */
  readonly machine: number;
  /** The libraries that must be loaded first. */
  readonly needed: readonly string[];
  readonly undefined: readonly ElfSymbol[];
  readonly exported: readonly string[];
  /** The names of the sections. */
  readonly sections: readonly string[];
}

const SHN_UNDEF = 0;
const DT_NEEDED = 1n;

export function readElf(path: string): ElfFile {
  const file = readFileSync(path);
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw new Error(`${path} is no ELF64 file`);
  const sections = sectionsOf(file);
  const section = (name: string) => sections.get(name) ?? Buffer.alloc(0);
  const strings = section('.dynstr');
  const stringAt = (offset: number) => strings.toString('latin1', offset, strings.indexOf(0, offset));

  const needed: string[] = [];
  const dynamic = section('.dynamic');
  for (let at = 0; at < dynamic.length; at += 16) {
    if (dynamic.readBigUInt64LE(at) === DT_NEEDED) needed.push(stringAt(Number(dynamic.readBigUInt64LE(at + 8))));
  }

  const versions = versionNames(section('.gnu.version_r'), stringAt);
  const symbols = section('.dynsym');
  const symbolVersions = section('.gnu.version');
  const undefinedSymbols: ElfSymbol[] = [];
  const exported: string[] = [];
  for (let at = 24, index = 1; at < symbols.length; at += 24, index++) {
    const name = stringAt(symbols.readUInt32LE(at));
    if (symbols.readUInt16LE(at + 6) !== SHN_UNDEF) exported.push(name);
    else {
      const version = symbolVersions.length > 0 ? symbolVersions.readUInt16LE(2 * index) & 0x7fff : 0;
      undefinedSymbols.push({ name, version: versions.get(version) });
    }
  }
  return {
    machine: file.readUInt16LE(18),
    needed,
    undefined: undefinedSymbols,
    exported,
    sections: [...sections.keys()],
  };
}

function sectionsOf(file: Buffer): Map<string, Buffer> {
  const offset = Number(file.readBigUInt64LE(40));
  const [size, count, namesIndex] = [file.readUInt16LE(58), file.readUInt16LE(60), file.readUInt16LE(62)];
  const content = (index: number) => {
    const at = offset + index * size;
    const start = Number(file.readBigUInt64LE(at + 24));
    return file.subarray(start, start + Number(file.readBigUInt64LE(at + 32)));
  };
  const names = content(namesIndex);
  const sections = new Map<string, Buffer>();
  for (let index = 1; index < count; index++) {
    const name = file.readUInt32LE(offset + index * size);
    sections.set(names.toString('latin1', name, names.indexOf(0, name)), content(index));
  }
  return sections;
}

/** The names of the versions that a file needs, by their index. */
function versionNames(table: Buffer, stringAt: (offset: number) => string): Map<number, string> {
  const names = new Map<number, string>();
  for (let at = 0, next = -1; next !== 0 && at < table.length; at += next) {
    let entry = at + table.readUInt32LE(at + 8);
    for (let left = table.readUInt16LE(at + 2); left > 0; left--) {
      names.set(table.readUInt16LE(entry + 6), stringAt(table.readUInt32LE(entry + 8)));
      entry += table.readUInt32LE(entry + 12);
    }
    next = table.readUInt32LE(at + 12);
  }
  return names;
}
