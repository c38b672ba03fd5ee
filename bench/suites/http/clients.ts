// The clients of the suite http, a process of its own: for each line of standard input, a load as JSON, it sends the requests
// and writes their times as base64 of JSON. As light as clients can be: they take CPU time from the server that they measure.
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import type { ClientLoad, Measured } from './http.js';

const url = new URL('/v1/completions', process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 1024 });

interface Answered {
  readonly firstMs: number;
  readonly wholeMs: number;
  /** All events, as they came. */
  readonly events: string;
}

function ask(prompt: readonly number[], newTokens: number): Promise<Answered> {
  const body = JSON.stringify({ prompt, max_tokens: newTokens, temperature: 0, ignore_eos: true, stream: true });
  const asked = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method: 'POST', agent, headers }, (reply) => {
      let firstMs: number | undefined;
      let events = '';
      reply.setEncoding('utf8').on('data', (text: string) => {
        firstMs ??= performance.now() - asked;
        events += text;
      });
      reply.on('end', () => {
        if (reply.statusCode !== 200) reject(new Error(`status ${reply.statusCode}: ${events}`));
        else resolve({ firstMs: firstMs as number, wholeMs: performance.now() - asked, events });
      });
      reply.on('error', reject);
    });
    sent.on('error', reject).end(body);
  });
}

function textOf(events: string): string {
  const texts = [...events.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => {
    return (JSON.parse(json as string) as { choices: { text: string }[] }).choices[0]?.text ?? '';
  });
  return texts.join('');
}

async function measure({ clients, requests, prompts, newTokens }: ClientLoad): Promise<Measured> {
  const answers: Answered[] = [];
  let next = 0;
  const started = performance.now();
  const loop = async () => {
    for (let index = next++; index < requests; index = next++) {
      answers[index] = await ask(prompts[index % prompts.length] as readonly number[], newTokens);
    }
  };
  await Promise.all(Array.from({ length: clients }, loop));
  const ms = performance.now() - started;
  return {
    ms,
    firstMs: answers.map(({ firstMs }) => firstMs),
    wholeMs: answers.map(({ wholeMs }) => wholeMs),
    texts: answers.slice(0, prompts.length).map(({ events }) => textOf(events)),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await measure(JSON.parse(line) as ClientLoad).then(
    (measured) => `ok ${Buffer.from(JSON.stringify(measured)).toString('base64')}`,
    (error: Error) => `failed ${error.message.replaceAll('\n', ' ')}`,
  );
  process.stdout.write(`@${answer}\n`);
}
