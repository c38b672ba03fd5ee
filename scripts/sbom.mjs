// Describes what is in the package as a CycloneDX document: dependencies, what is bundled into dist/worker.cjs, what is linked into
// the addons. The same contents give the same document. Called by scripts/prepack.mjs.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where each package ends up; package.json decides which of them are dependencies. */
const bundled = { piscina: 'dist/worker.cjs', '@huggingface/jinja': 'dist/worker.cjs', 'node-addon-api': 'the addons' };

/** @param addons paths of the addons, from the root */
export function describeContents(root, addons) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const own = componentOf(manifest.name, manifest);
  const names = [...Object.keys(manifest.dependencies), ...Object.keys(bundled)].sort();
  const libraries = names.map((name) => {
    const file = join(root, 'node_modules', name, 'package.json');
    const component = componentOf(name, JSON.parse(readFileSync(file, 'utf8')));
    const place = bundled[name] === undefined ? 'a dependency' : `in ${bundled[name]}`;
    return { ...component, properties: [{ name: 'tesserae:place', value: place }] };
  });
  const files = [...addons, 'models/tesserae-tiny-f16.gguf'].map((file) => ({
    type: 'file',
    'bom-ref': file,
    name: file,
    hashes: [
      {
        alg: 'SHA-256',
        content: createHash('sha256')
          .update(readFileSync(join(root, file)))
          .digest('hex'),
      },
    ],
  }));
  const parts = [...libraries, ...runtimes(addons), ...files];
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: own },
    components: parts,
    dependencies: [{ ref: own['bom-ref'], dependsOn: parts.map((part) => part['bom-ref']) }],
  };
}

function componentOf(name, { version, license, description }) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    description,
    licenses: [{ license: { id: license } }],
    purl,
  };
}

/**
 * What compilers link: GCC's libraries into the addons for Linux, each of which names the compiler in its section .comment; Clang's
 * and some of musl's functions into the WebAssembly, if it is there.
 */
function runtimes(addons) {
  const library = (ref, name, description, expression, place) => ({
    type: 'library',
    'bom-ref': ref,
    name,
    description,
    licenses: [{ expression }],
    properties: [{ name: 'tesserae:place', value: `in ${place}` }],
  });
  const gcc = 'GPL-3.0-or-later WITH GCC-exception-3.1';
  const parts = [library('gcc-runtime', 'libsupc++ and libgcc', 'run-time libraries of GCC', gcc, 'the addons')];
  if (!addons.some((file) => file.endsWith('.wasm'))) return parts;
  const llvm = 'Apache-2.0 WITH LLVM-exception';
  parts.push(library('llvm-runtime', 'compiler-rt and libc++', 'run-time libraries of LLVM', llvm, 'the WebAssembly'));
  parts.push(library('musl', 'musl', 'mathematical functions, as in wasi-libc', 'MIT', 'the WebAssembly'));
  return parts;
}
