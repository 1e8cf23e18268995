export { scan } from 'react-scan';
