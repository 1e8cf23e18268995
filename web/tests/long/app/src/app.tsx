import { Excalidraw } from '@excalidraw/excalidraw';
import '@excalidraw/excalidraw/index.css';
import type { ExcalidrawImperativeAPI } from '@excalidraw/excalidraw/types';

declare global {
  interface Window {
    drawing: ExcalidrawImperativeAPI;
  }
}

/** The drawing board, as its documentation says to put it into a page. */
export const app = (
  <div style={{ height: '100vh' }}>
    <Excalidraw
      excalidrawAPI={(api) => {
        window.drawing = api;
      }}
    />
  </div>
);
