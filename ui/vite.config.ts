// The build: one page, one script, one style sheet, nothing inlined, so that the strict content security policy holds.
import { defineConfig } from 'vite';

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { target: ['chrome123', 'firefox120', 'safari17.5'], assetsInlineLimit: 0, modulePreload: false },
  // `npm run dev` speaks to a running server.
  server: { proxy: { '/v1': process.env.TALLY_URL ?? 'http://127.0.0.1:7380' } },
});
