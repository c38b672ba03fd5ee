// The script of the server's page, as text: it runs in a browser. It chats by /v1/chat/completions and shows what /pressure
// says. Served by endpoints/page.ts.

export const pageScript = `'use strict';
const element = (id) => document.getElementById(id);
const messages = [];
const running = [];
const samples = 120;
let stop;

element('key').value = sessionStorage.getItem('key') ?? '';
element('key').addEventListener('change', () => {
  sessionStorage.setItem('key', element('key').value);
  loadModels();
});

function headers() {
  const key = element('key').value;
  return key === '' ? {} : { authorization: 'Bearer ' + key };
}

async function messageOf(reply) {
  const body = await reply.json().catch(() => ({}));
  return body.error?.message ?? 'the server answers with the status ' + reply.status;
}

async function loadModels() {
  try {
    const reply = await fetch('v1/models', { headers: headers() });
    if (!reply.ok) return showProblem(await messageOf(reply));
    const { data } = await reply.json();
    element('model').replaceChildren(...data.map(({ id }) => new Option(id, id)));
    showProblem('');
  } catch {
    showProblem('the server cannot be reached');
  }
}

function showProblem(text) {
  element('problem').textContent = text;
}

function addMessage(kind, text) {
  const message = document.createElement('div');
  message.className = 'message ' + kind;
  message.textContent = text;
  element('messages').append(message);
  message.scrollIntoView({ block: 'end' });
  return message;
}

/** The data of the events of a stream. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (held + value).split('\\n\\n');
    held = parts.pop();
    for (const part of parts) {
      if (part.startsWith('data: ') && part !== 'data: [DONE]') yield JSON.parse(part.slice(6));
    }
  }
}

async function send(text) {
  messages.push({ role: 'user', content: text });
  addMessage('user', text);
  const answer = addMessage('assistant waiting', '');
  stop = new AbortController();
  setBusy(true);
  let content = '';
  try {
    const body = {
      model: element('model').value,
      messages,
      temperature: Number(element('temperature').value),
      max_tokens: Number(element('tokens').value),
      stream: true,
      stream_options: { include_usage: true },
    };
    const begun = performance.now();
    const reply = await fetch('v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers() },
      body: JSON.stringify(body),
      signal: stop.signal,
    });
    if (!reply.ok) throw new Error(await messageOf(reply));
    content = await show(reply.body, answer, begun);
  } catch (error) {
    content = answer.textContent;
    if (error.name !== 'AbortError') addMessage('failure', error.message);
  }
  answer.classList.remove('waiting');
  if (content === '') messages.pop();
  else messages.push({ role: 'assistant', content });
  setBusy(false);
}

/** Shows an answer as it comes. Returns its text. */
async function show(body, answer, begun) {
  let content = '';
  let reasoning;
  let firstAt;
  for await (const event of eventsOf(body)) {
    if (event.error !== undefined) throw new Error(event.error.message);
    const delta = event.choices?.[0]?.delta ?? {};
    if (firstAt === undefined && (delta.content || delta.reasoning_content)) firstAt = performance.now();
    if (delta.reasoning_content) {
      reasoning ??= answer.insertAdjacentElement('beforebegin', addMessage('reasoning', ''));
      reasoning.textContent += delta.reasoning_content;
    }
    if (delta.content) {
      content += delta.content;
      answer.textContent = content;
      answer.scrollIntoView({ block: 'end' });
    }
    if (event.usage) showSpeed(event.usage.completion_tokens, firstAt - begun, performance.now() - firstAt);
  }
  return content;
}

function showSpeed(tokens, firstMs, restMs) {
  element('first').textContent = Number.isNaN(firstMs) ? '–' : firstMs.toFixed(0) + ' ms';
  element('count').textContent = tokens;
  element('speed').textContent = tokens > 1 && restMs > 0 ? ((1000 * (tokens - 1)) / restMs).toFixed(0) : '–';
}

function setBusy(isBusy) {
  element('send').disabled = isBusy;
  element('stop').disabled = !isBusy;
  element('clear').disabled = isBusy;
}

async function showFigures() {
  try {
    const reply = await fetch('pressure', { headers: headers() });
    if (!reply.ok) return showProblem(await messageOf(reply));
    const now = await reply.json();
    element('requests').textContent = now.requests + ' of ' + now.maxRequests;
    element('running').textContent = now.running;
    element('queued').textContent = now.queued;
    element('rows').textContent = now.rowsPerStep.toFixed(1);
    element('wait').textContent = now.expectedWaitMs.toFixed(0) + ' ms';
    element('pages-used').textContent = now.pagesUsed;
    element('pages-cached').textContent = now.pagesCached;
    element('pages-free').textContent = now.pagesFree;
    const pages = now.pagesUsed + now.pagesCached + now.pagesFree || 1;
    element('used').style.width = (100 * now.pagesUsed) / pages + '%';
    element('cached').style.width = (100 * now.pagesCached) / pages + '%';
    drawRunning(now.running);
    showProblem('');
  } catch {
    showProblem('the server cannot be reached');
  }
}

function drawRunning(count) {
  running.push(count);
  if (running.length > samples) running.shift();
  const peak = Math.max(1, ...running);
  const from = samples - running.length;
  const points = running.map((value, i) => from + i + ',' + (38 - (36 * value) / peak).toFixed(1));
  element('line').setAttribute('points', points.join(' '));
  element('peak').textContent = Math.max(...running);
}

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = element('input').value.trim();
  if (text === '' || element('send').disabled) return;
  element('input').value = '';
  send(text);
});
element('input').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element('form').requestSubmit();
});
element('stop').addEventListener('click', () => stop?.abort());
element('clear').addEventListener('click', () => {
  messages.length = 0;
  element('messages').replaceChildren();
});

loadModels();
showFigures();
setInterval(() => {
  if (!document.hidden) showFigures();
}, 1000);
`;
