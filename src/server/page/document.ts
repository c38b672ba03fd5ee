// The document and the style of the server's page. Its script is in script.ts. Served by endpoints/page.ts.

export const pageDocument = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tesserae</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<header>
<h1>tesserae</h1>
<label>Model <select id="model"></select></label>
<label>Temperature <input id="temperature" type="number" min="0" max="2" step="0.1" value="0.7"></label>
<label>Tokens <input id="tokens" type="number" min="1" step="1" value="256"></label>
<label>Key <input id="key" type="password" autocomplete="off" placeholder="none"></label>
</header>
<main>
<section id="chat" aria-label="Chat">
<div id="messages" role="log" aria-live="polite"></div>
<form id="form">
<textarea id="input" rows="2" placeholder="Write a message" aria-label="Message" autofocus></textarea>
<div class="buttons">
<button id="send" type="submit">Send</button>
<button id="stop" type="button" disabled>Stop</button>
<button id="clear" type="button">Clear</button>
</div>
</form>
</section>
<aside aria-label="Figures">
<h2>Now</h2>
<dl>
<dt>Requests</dt><dd id="requests">–</dd>
<dt>Running</dt><dd id="running">–</dd>
<dt>Queued</dt><dd id="queued">–</dd>
<dt>Rows a step</dt><dd id="rows">–</dd>
<dt>Expected wait</dt><dd id="wait">–</dd>
</dl>
<svg id="chart" viewBox="0 0 120 40" preserveAspectRatio="none" role="img" aria-label="Running requests, the last two minutes">
<polyline id="line" points=""></polyline>
</svg>
<p class="caption">running requests, <span id="peak">0</span> at most in two minutes</p>
<h2>Pages of keys and values</h2>
<div id="bar"><span id="used"></span><span id="cached"></span></div>
<dl>
<dt>Used</dt><dd id="pages-used">–</dd>
<dt>Cached</dt><dd id="pages-cached">–</dd>
<dt>Free</dt><dd id="pages-free">–</dd>
</dl>
<h2>Last answer</h2>
<dl>
<dt>First token</dt><dd id="first">–</dd>
<dt>Tokens</dt><dd id="count">–</dd>
<dt>Tokens a second</dt><dd id="speed">–</dd>
</dl>
<p id="problem" role="status"></p>
</aside>
</main>
</body>
</html>
`;

export const pageStyle = `:root {
  color-scheme: light dark;
  --back: light-dark(#fbfaf7, #16181c);
  --front: light-dark(#23262b, #e6e4df);
  --faint: light-dark(#6c6f75, #989ba1);
  --edge: light-dark(#dedbd3, #31343b);
  --mine: light-dark(#ece7da, #262a31);
  --accent: light-dark(#1f6f78, #5fb3bc);
  --bad: light-dark(#a3342b, #ee8d84);
}
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body {
  display: flex;
  flex-direction: column;
  background: var(--back);
  color: var(--front);
  font: 15px/1.5 system-ui, sans-serif;
}
header {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.5rem 1.25rem;
  padding: 0.6rem 1rem;
  border-bottom: 1px solid var(--edge);
}
h1 { flex: 1; margin: 0; font-size: 1.1rem; letter-spacing: 0.02em; }
h2 { margin: 1rem 0 0.25rem; font-size: 0.8rem; font-weight: 600; color: var(--faint); }
h2:first-child { margin-top: 0; }
label { color: var(--faint); font-size: 0.85rem; }
input, select, textarea, button {
  padding: 0.3rem 0.5rem;
  border: 1px solid var(--edge);
  border-radius: 0.4rem;
  background: var(--back);
  color: var(--front);
  font: inherit;
}
input[type="number"] { width: 5rem; }
#key { width: 8rem; }
main { display: flex; flex: 1; min-height: 0; }
#chat { display: flex; flex: 1; flex-direction: column; min-width: 0; }
#messages { flex: 1; overflow-y: auto; padding: 1rem; }
.message { max-width: 46rem; margin: 0 auto 0.9rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.user { padding: 0.5rem 0.8rem; border-radius: 0.6rem; background: var(--mine); }
.failure { color: var(--bad); }
.reasoning { color: var(--faint); font-size: 0.9rem; }
.waiting::after { content: "…"; color: var(--faint); }
form { display: flex; gap: 0.6rem; width: 100%; max-width: 48rem; margin: 0 auto; padding: 0.5rem 1rem 1rem; }
textarea { flex: 1; resize: vertical; }
.buttons { display: flex; flex-direction: column; gap: 0.3rem; }
button { cursor: pointer; }
button:disabled { cursor: default; opacity: 0.5; }
#send { border-color: var(--accent); background: var(--accent); color: var(--back); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
aside { width: 17rem; padding: 1rem; border-left: 1px solid var(--edge); overflow-y: auto; }
dl { display: grid; grid-template-columns: 1fr auto; gap: 0.1rem 1rem; margin: 0; }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: 4rem; margin-top: 0.6rem; border-bottom: 1px solid var(--edge); }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.caption { margin: 0; color: var(--faint); font-size: 0.8rem; }
#bar { display: flex; height: 0.6rem; margin: 0.4rem 0; border-radius: 0.3rem; background: var(--edge); overflow: hidden; }
#used { background: var(--accent); }
#cached { background: var(--accent); opacity: 0.4; }
#problem { color: var(--bad); font-size: 0.85rem; }
@media (max-width: 46rem) {
  main { flex-direction: column; overflow-y: auto; }
  #chat { min-height: 70vh; }
  aside { width: auto; border-left: none; border-top: 1px solid var(--edge); }
}
`;
