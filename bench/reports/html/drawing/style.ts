// The style of the report, for light and dark, wide windows and phones. Colours differ in lightness as well as in hue,
// so that they can be told apart without colour vision.

export const style = `
:root { color-scheme: light dark;
  --bg: #ffffff; --fg: #1c2127; --muted: #59636e; --grid: #e3e7eb; --axis: #8a949e; --head: #f3f5f7d0; --shade: #1c212740; --link: #0b57a4;
  --s0: #0a5fb4; --s1: #d1560d; --s2: #1c8a56; --s3: #8b3fb5; --s4: #b58900; --s5: #149aa8; --s6: #c22f6d; --s7: #66707a; }
@media (prefers-color-scheme: dark) { :root {
  --bg: #14181d; --fg: #e6eaee; --muted: #a0abb6; --grid: #2b323a; --axis: #66717c; --head: #1d232ad0; --shade: #00000090; --link: #7ab8ff;
  --s0: #5aa9ff; --s1: #ff9a57; --s2: #53c98c; --s3: #c993f0; --s4: #e6c04a; --s5: #4fd0dd; --s6: #ff7eb0; --s7: #a9b3bd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 16px; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 8px 0 12px; }
h2 { font-size: 20px; line-height: 1.25; margin: 40px 0 6px; }
p { margin: 0 0 10px; max-width: 76ch; }
.fact { margin: 0; color: var(--muted); }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 16px 0 0; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 20px; list-style: none; margin: 10px 0 4px; padding: 0; font-size: 14px; }
.legend li { display: flex; align-items: center; gap: 6px; }
svg { display: block; }
.wide svg, .narrow svg { width: 100%; height: auto; }
.narrow { display: none; }
@media (max-width: 640px) { .wide { display: none; } .narrow { display: block; } }
svg text { font-size: 12px; fill: var(--fg); font-family: inherit; }
svg .tick, svg .note { fill: var(--muted); }
svg .title { fill: var(--muted); font-size: 13px; }
svg .row { font-size: 13px; }
svg .number { paint-order: stroke; stroke: var(--bg); stroke-width: 3px; stroke-linejoin: round; }
svg .note { paint-order: stroke; stroke: var(--bg); stroke-width: 3px; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--axis); }
.leader { stroke: var(--axis); stroke-width: 0.8; }
.none { stroke: none; }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.peak { stroke: var(--fg); stroke-width: 1.4; stroke-dasharray: 7 4; }
.roof { fill: none; stroke: var(--fg); stroke-width: 1.8; }
.ideal { stroke: var(--axis); stroke-width: 1.4; stroke-dasharray: 5 4; }
.limit { stroke: var(--s6); stroke-width: 2.5; }
.stem { stroke: var(--axis); stroke-width: 2; }
.mark { stroke: var(--bg); stroke-width: 1; }
.tile { stroke: var(--bg); stroke-width: 0.5; }
${[0, 1, 2, 3, 4, 5, 6, 7].map((index) => `.line.s${index} { stroke: var(--s${index}); } .mark.s${index}, .tile.s${index}, .box.s${index} { fill: var(--s${index}); }`).join('\n')}
/* A shadow marks an edge beyond which the table goes on: the two gradients that scroll along cover the two that stay. */
.scroll { overflow-x: auto; margin: 12px 0; background:
  linear-gradient(to right, var(--bg) 50%, transparent) left / 40px 100% no-repeat local,
  linear-gradient(to left, var(--bg) 50%, transparent) right / 40px 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / 14px 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / 14px 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: 4px 0; min-width: 280px; }
caption span { display: inline-block; position: sticky; left: 0; max-width: min(76ch, 100vw - 32px); }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { background: var(--head); font-weight: 600; }
.text { text-align: left; }
td.text:last-child { white-space: normal; min-width: 34ch; }
td.text:last-child:empty { min-width: 0; }
ul { margin: 0 0 10px; padding-left: 20px; color: var(--muted); font-size: 13.5px; }
`;
